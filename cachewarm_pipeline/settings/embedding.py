"""The embedder, and the OpenAI-compatible server that all paid models share."""

from typing import Literal

from pydantic import AliasChoices, BaseModel, Field, SecretStr


class EmbeddingSettings(BaseModel):
    """The embedder, and the OpenAI-compatible server that all paid models share."""

    embedder: Literal["minilm", "openai"] = Field(
        "minilm", description="`minilm` runs on this machine and is free; `openai` is any OpenAI-compatible server."
    )
    embedding_model: str = Field("text-embedding-3-small", description="Model of the `openai` embedder.")
    embedding_dimensions: int | None = Field(
        None, ge=1, description="Shortened vectors for models that offer them. Unset: the model's own."
    )
    embedding_usd_per_million_tokens: float = Field(
        0.02, ge=0, description="Price of embedding_model (text-embedding-3-small)."
    )
    embedding_concurrency: int = Field(4, ge=1, le=64, description="Embedding requests under way at once.")
    embedding_timeout_seconds: float = Field(30, gt=0, description="A request that takes longer is attempted again.")
    embedding_max_retries: int = Field(5, ge=0, description="Further attempts after 408, 409, 429, 5xx and time-outs.")
    openai_api_key: SecretStr | None = Field(
        None, validation_alias=AliasChoices("OPENAI_API_KEY", "openai_api_key"), description="Key of the server."
    )
    openai_base_url: str | None = Field(
        None,
        validation_alias=AliasChoices("OPENAI_BASE_URL", "openai_base_url"),
        description="Any OpenAI-compatible server. Unset: OpenAI.",
    )
