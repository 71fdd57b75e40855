"""Language models and embeddings behind two ports (`mesh.llm.port`), their adapters, and the embedded servers."""
