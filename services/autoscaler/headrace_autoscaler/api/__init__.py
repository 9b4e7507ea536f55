"""AutoscalerService: messages, names, pages, and the calls themselves."""
