"""The one inference path: image in, LesionReport out."""
