"""Values that must be found nowhere, the forms they may take, and the places that are searched for them."""
