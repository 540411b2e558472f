# Weekly lists and monitoring are schedules of Dagster, in the use case's YAML. What must not depend on
# Dagster runs here: the nightly end-to-end of staging, with the image of the last deployment. It
# exits with 1 when a figure leaves its golden band, and the job then shows as failed.
resource "azurerm_container_app_job" "nightly_end_to_end" {
  count                        = var.environment == "staging" ? 1 : 0
  name                         = "nightly-end-to-end"
  resource_group_name          = azurerm_resource_group.this.name
  location                     = var.location
  container_app_environment_id = azurerm_container_app_environment.this.id
  workload_profile_name        = "Consumption"
  replica_timeout_in_seconds   = 7200
  replica_retry_limit          = 0
  tags                         = local.tags

  schedule_trigger_config {
    cron_expression = "0 3 * * *"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  registry {
    server   = var.registry_server
    identity = azurerm_user_assigned_identity.this.id
  }

  dynamic "secret" {
    for_each = local.secret
    content {
      name                = secret.value
      identity            = azurerm_user_assigned_identity.this.id
      key_vault_secret_id = "${azurerm_key_vault.this.vault_uri}secrets/${secret.value}"
    }
  }

  template {
    volume {
      name         = "data"
      storage_type = "AzureFile"
      storage_name = azurerm_container_app_environment_storage.data.name
    }
    container {
      name    = "end-to-end"
      image   = var.image
      cpu     = var.compute.cpu
      memory  = var.compute.memory
      command = ["hrob", "staging", "--data-root", "/var/lib/hrob"]
      dynamic "env" {
        for_each = local.secret
        content {
          name        = env.key
          secret_name = env.value
        }
      }
      volume_mounts {
        name = "data"
        path = "/var/lib/hrob"
      }
    }
  }
}
