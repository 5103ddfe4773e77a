"""What the bundles' phantoms are drawn with: shapes, textures, noise, masks, causes and distractors."""
