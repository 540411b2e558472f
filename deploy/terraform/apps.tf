resource "azurerm_log_analytics_workspace" "this" {
  name                = local.name
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  retention_in_days   = 90
  tags                = local.tags
}

resource "azurerm_container_app_environment" "this" {
  name                           = local.name
  resource_group_name            = azurerm_resource_group.this.name
  location                       = var.location
  log_analytics_workspace_id     = azurerm_log_analytics_workspace.this.id
  infrastructure_subnet_id       = azurerm_subnet.apps.id
  internal_load_balancer_enabled = true # the UIs are reached from the organisation's network only
  tags                           = local.tags
  workload_profile {
    name                  = "Consumption"
    workload_profile_type = "Consumption"
  }
}

resource "azurerm_container_app_environment_storage" "data" {
  name                         = "data"
  container_app_environment_id = azurerm_container_app_environment.this.id
  account_name                 = azurerm_storage_account.this.name
  access_key                   = azurerm_storage_account.this.primary_access_key
  share_name                   = azurerm_storage_share.data.name
  access_mode                  = "ReadWrite"
}

locals {
  parts = {
    "code-location" = { port = 4000, transport = "tcp", outside = false, cpu = var.compute.cpu, memory = var.compute.memory }
    "webserver"     = { port = 3000, transport = "auto", outside = true, cpu = 1, memory = "2Gi" }
    "daemon"        = { port = null, transport = null, outside = false, cpu = 1, memory = "2Gi" }
    "mlflow"        = { port = 5000, transport = "auto", outside = true, cpu = 1, memory = "2Gi" }
  }
}

resource "azurerm_container_app" "this" {
  for_each                     = local.parts
  name                         = each.key
  resource_group_name          = azurerm_resource_group.this.name
  container_app_environment_id = azurerm_container_app_environment.this.id
  revision_mode                = "Single"
  workload_profile_name        = "Consumption"
  tags                         = local.tags
  depends_on                   = [azurerm_role_assignment.pulls_images, azurerm_role_assignment.reads_secrets]

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

  dynamic "ingress" {
    for_each = each.value.port == null ? [] : [each.value]
    content {
      target_port      = ingress.value.port
      exposed_port     = ingress.value.transport == "tcp" ? ingress.value.port : null
      transport        = ingress.value.transport
      external_enabled = ingress.value.outside
      traffic_weight {
        latest_revision = true
        percentage      = 100
      }
    }
  }

  template {
    min_replicas = 1
    max_replicas = 1 # two daemons would start each schedule twice
    volume {
      name         = "data"
      storage_type = "AzureFile"
      storage_name = azurerm_container_app_environment_storage.data.name
    }
    container {
      name    = each.key
      image   = var.image
      cpu     = each.value.cpu
      memory  = each.value.memory
      command = ["hrob", "serve", each.key]
      args = concat(
        each.value.port == null ? [] : ["--host", "0.0.0.0"],
        contains(["webserver", "daemon"], each.key) ? ["--workspace", "deploy/workspace.yaml"] : [],
      )
      env {
        name  = "HROB_ENV"
        value = var.environment
      }
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
