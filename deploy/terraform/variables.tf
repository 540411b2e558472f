variable "environment" {
  description = "What HROB_ENV is: which overlay of hrob_assets/resources/environments holds."
  type        = string
  validation {
    condition     = contains(["staging", "prod"], var.environment)
    error_message = "environment must be staging or prod; development needs no cloud."
  }
}

variable "image" {
  description = "Image with its tag, the commit that it was built from."
  type        = string
  validation {
    condition     = can(regex(":[0-9a-f]{40}$", var.image))
    error_message = "image must end with the 40 digits of a commit, so that a deployment names its code."
  }
}

variable "registry_id" {
  description = "Resource id of the container registry of this environment."
  type        = string
}

variable "registry_server" {
  description = "Name by which images are pulled from that registry."
  type        = string
}

variable "location" {
  type    = string
  default = "eastus2"
}

variable "address_space" {
  description = "Of the virtual network; those of staging and prod do not overlap."
  type        = map(string)
  default     = { staging = "10.20.0.0/16", prod = "10.30.0.0/16" }
}

variable "compute" {
  description = "Cores and memory of the process that executes runs."
  type        = object({ cpu = number, memory = string })
  default     = { cpu = 4, memory = "8Gi" }
}

variable "database_sku" {
  type    = string
  default = "GP_Standard_D2ds_v5"
}
