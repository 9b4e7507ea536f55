"""Who calls, where nobody in front of this process has checked it: tokens, denied clients, scopes, rates."""
