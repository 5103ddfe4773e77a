"""Images from an archive that speaks DICOMweb, and results back to it."""
