"""The servers and the sample data of the no-setup default. Production sets URLs instead and uses none of this."""
