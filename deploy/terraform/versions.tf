# One folder of configuration; each environment has its own state, resource group and identity.
terraform {
  required_version = ">= 1.9"
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.6"
    }
  }
  backend "azurerm" {} # `make deploy` gives container and key; state of prod is not readable by staging-sp
}

provider "azurerm" {
  features {}
}
