"""What a sample is: labels, datalist, validation, splits, importers, phantoms."""
