"""MLflow, where people look at runs: filled from the cells' folders, imported by no other room."""
