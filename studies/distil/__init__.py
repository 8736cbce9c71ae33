"""The trial of distilled data: students trained with it and without."""
