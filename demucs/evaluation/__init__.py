"""How good is a separation: metrics with their definitions, over tracks."""
