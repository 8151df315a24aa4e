"""What trained models do with their attention, measured of stored trials: gates, knock-outs, maps."""
