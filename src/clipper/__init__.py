"""The Clipper runtime: what runs between an application and its models."""
