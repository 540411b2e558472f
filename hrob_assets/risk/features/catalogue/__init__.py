"""What the YAML files of a use case say about features, as typed values.

The mappings define the columns, the selection says which of them a model takes, and the imputation
says what fills their nulls; each error names the file, the line and the nearest valid name.
"""
