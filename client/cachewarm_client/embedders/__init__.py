"""Embedders: the embedder protocol, the embedded model (extra `minilm`) and OpenAI-compatible servers (extra
`openai`)."""
