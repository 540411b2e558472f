"""Patients with cancer and everything that is recorded of them."""
