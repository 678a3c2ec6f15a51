"""What comes in: requests, as published and as decoded."""
