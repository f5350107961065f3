"""What the dashboard's pages share: services, filters, words, look, and the parts they draw."""
