"""Women, their pregnancies and everything that is recorded of them."""
