"""Portrait Studio without a screen: rules, use cases, adapters, the database."""
