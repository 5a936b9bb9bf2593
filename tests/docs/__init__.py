"""The documents, their examples and the site that is made of them."""
