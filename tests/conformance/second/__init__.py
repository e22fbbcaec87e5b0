"""The adapters on code that nobody here wrote (moto), question by question beside the world's models."""
