"""The models that need nothing but this project's own wheels: a chat model on llama.cpp and an embedding model.

Each is a server of its own with an OpenAI API, started as a pod, so that all agents share one copy in memory. Agents
never import this package: they speak HTTP to it.
"""
