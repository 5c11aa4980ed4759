"""MLflow: what people look at. The only room that imports it; the folders are the truth."""
