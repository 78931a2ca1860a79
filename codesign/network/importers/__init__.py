"""Readers that turn a user's model file into a `codesign.network.hls_model.HlsModel`."""
