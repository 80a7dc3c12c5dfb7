package authz

// KeptChanges is keptChanges, for the tests.
const KeptChanges = keptChanges
