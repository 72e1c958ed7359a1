"""Content-addressed vectors of every candidate's and labelled query's prompt: a text is never embedded twice."""

import dagster as dg
import pyarrow as pa
from cachewarm_client.text import embedding_key

from cachewarm_pipeline.lineage.asset_page import OWNERS, PAID, VERIFICATION, paid_days, record, table_metadata
from cachewarm_pipeline.lineage.partitions import daily, one_run
from cachewarm_pipeline.models.embed_new_texts import embed_missing
from cachewarm_pipeline.storage.schemas import EMBEDDINGS
from cachewarm_pipeline.workspace.workspace import Workspace

_OF = ("golden_candidates", "frequent_queries", "synthetic_variants", "labelled_queries")


@dg.asset(
    deps=list(_OF),
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=VERIFICATION,
    owners=OWNERS,
    kinds={"onnx", "openai", "parquet"},
    pool=PAID,
    description=__doc__,
)
def embeddings(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    datasets = workspace.datasets
    for day in paid_days(context, workspace):
        tables = [datasets.read(asset, day, columns=["prompt"]) for asset in _OF]
        texts = sorted({prompt for table in tables for prompt in table["prompt"].to_pylist()})
        done = embed_missing(workspace.embedder, workspace.vectors, texts, context.log.info)
        info = workspace.embedder.info
        keys = [embedding_key(info.id, text) for text in texts]
        table = pa.table(
            [keys, [info.id] * len(texts), texts, pa.array([done.dimensions] * len(texts), pa.int32())],
            schema=EMBEDDINGS,
        )
        datasets.write("embeddings", day, table)
        record(
            context,
            day,
            table_metadata(
                table,
                examples=("text", "embedding_key", "dimensions"),
                model=info.id,
                embedded=done.embedded,
                reused=done.reused,
                tokens=done.tokens,
                usd=done.tokens * info.usd_per_million_tokens / 1e6,
                seconds=done.seconds,
            ),
            spent=workspace.ledger.usd(),
        )
