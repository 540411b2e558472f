# The data root: tables, lists and model files. Parts mount it as a folder.
resource "azurerm_storage_account" "this" {
  name                            = "hrob${var.environment}data"
  resource_group_name             = azurerm_resource_group.this.name
  location                        = var.location
  account_tier                    = "Premium"
  account_kind                    = "FileStorage"
  account_replication_type        = "ZRS"
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
  tags                            = local.tags
  network_rules {
    default_action             = "Deny"
    virtual_network_subnet_ids = [azurerm_subnet.apps.id]
  }
}

resource "azurerm_storage_share" "data" {
  name               = "data"
  storage_account_id = azurerm_storage_account.this.id
  quota              = 512
}

# For copies that people make, such as a dump before an upgrade; earlier versions of a file stay.
resource "azurerm_storage_account" "archive" {
  name                            = "hrob${var.environment}archive"
  resource_group_name             = azurerm_resource_group.this.name
  location                        = var.location
  account_tier                    = "Standard"
  account_replication_type        = "GZRS"
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
  tags                            = local.tags
  blob_properties {
    versioning_enabled = true
  }
}

resource "azurerm_storage_container" "archive" {
  name               = "archive"
  storage_account_id = azurerm_storage_account.archive.id
}
