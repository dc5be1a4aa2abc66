"""The pipelines: thin nodes that hand data sets to the floors below."""
