"""Policies tried on traffic before anybody trusts them: simulations and advice, in processes of their own."""
