"""The version, in the one place that the build and the package read."""

version = "0.1.0"
