"""The provider of merchants who pack and label themselves."""
