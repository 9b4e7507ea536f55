"""Looks at windows: scheduled ones, each made once, and those that somebody asks for."""
