"""How faithful explanations of bags are to the model, and how well they point at the positive instances."""
