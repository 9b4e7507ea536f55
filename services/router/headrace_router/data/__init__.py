"""The router's data plane: answers predictions from resolved tables, through batchers, behind any transport."""
