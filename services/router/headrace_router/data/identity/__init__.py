"""Who calls, where no front door has checked it: tokens, denied clients, scopes, rates."""
