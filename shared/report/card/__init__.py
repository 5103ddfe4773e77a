"""The card of an evaluation: all of the report as data by a published schema, and what is rendered from it."""
