resource "azurerm_key_vault" "this" {
  name                       = local.name
  resource_group_name        = azurerm_resource_group.this.name
  location                   = var.location
  tenant_id                  = data.azurerm_client_config.this.tenant_id
  sku_name                   = "standard"
  rbac_authorization_enabled = true
  purge_protection_enabled   = var.environment == "prod"
  tags                       = local.tags
}

resource "random_password" "decision_key" {
  length = 64
}

locals {
  # By the variable that the environment's YAML names. The source of prod is put into the vault by
  # hand (`hrob-prod-source`), so that its address is in no file and in no state.
  databases = {
    "${local.prefix}_DAGSTER_DATABASE" = local.database_address["dagster"]
    "${local.prefix}_MLFLOW_DATABASE"  = local.database_address["mlflow"]
  }
  keys      = var.environment == "prod" ? { HROB_PROD_DECISION_KEY = random_password.decision_key.result } : {}
  made      = merge(local.databases, local.keys)
  given     = var.environment == "prod" ? toset(["HROB_PROD_SOURCE"]) : toset([])
  variables = setunion(keys(local.made), local.given)
  secret    = { for name in local.variables : name => lower(replace(name, "_", "-")) }
}

resource "azurerm_key_vault_secret" "made" {
  for_each     = toset(keys(local.made))
  name         = local.secret[each.key]
  value        = local.made[each.key]
  key_vault_id = azurerm_key_vault.this.id
  depends_on   = [azurerm_role_assignment.deployer_writes_secrets]
}
