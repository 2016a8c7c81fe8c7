"""The models: their quality on published splits, their speed beside rivals, their memory."""
