# Runs, events and schedules of Dagster, and models of MLflow: two databases, no public address.
resource "random_password" "database" {
  length  = 40
  special = false # it becomes part of an address
}

resource "azurerm_postgresql_flexible_server" "this" {
  name                          = local.name
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  version                       = "16"
  sku_name                      = var.database_sku
  storage_mb                    = 65536
  delegated_subnet_id           = azurerm_subnet.database.id
  private_dns_zone_id           = azurerm_private_dns_zone.database.id
  public_network_access_enabled = false
  administrator_login           = "hrob"
  administrator_password        = random_password.database.result
  backup_retention_days         = var.environment == "prod" ? 35 : 7
  tags                          = local.tags
  depends_on                    = [azurerm_private_dns_zone_virtual_network_link.database]
  lifecycle {
    ignore_changes = [zone]
  }
}

resource "azurerm_postgresql_flexible_server_database" "this" {
  for_each  = toset(["dagster", "mlflow"])
  name      = each.key
  server_id = azurerm_postgresql_flexible_server.this.id
}

locals {
  database_address = {
    for name, database in azurerm_postgresql_flexible_server_database.this :
    name => "postgresql+psycopg2://hrob:${random_password.database.result}@${azurerm_postgresql_flexible_server.this.fqdn}:5432/${database.name}?sslmode=require"
  }
}
