output "addresses" {
  description = "Names of the two UIs in the organisation's network."
  value       = { for name in ["webserver", "mlflow"] : name => azurerm_container_app.this[name].latest_revision_fqdn }
}

output "identity" {
  value = azurerm_user_assigned_identity.this.name
}
