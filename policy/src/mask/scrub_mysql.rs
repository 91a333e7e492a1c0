//! What is left of a MySQL or MariaDB error while a masked column takes part: its kind, from the error number alone.
//! The wire keeps number and SQLSTATE beside it; nothing of the server's own words is used, since any may quote a value.

/// The kind of error that `code` stands for: `duplicate entry`. A number that is not listed is `error`.
/// Source: MySQL's "Server Error Message Reference", MariaDB's "Error Codes".
pub fn kind_of(code: u16) -> &'static str {
    let at = KINDS.binary_search_by(|(listed, _)| listed.cmp(&code));
    at.ok().and_then(|at| KINDS.get(at)).map_or("error (details hidden: a masked column takes part)", |(_, kind)| kind)
}

/// Numbers in order.
const KINDS: [(u16, &str); 88] = [
    (1021, "disk full"),
    (1022, "duplicate key"),
    (1028, "sort aborted"),
    (1030, "error from the storage engine"),
    (1037, "out of memory"),
    (1038, "out of sort memory"),
    (1040, "too many connections"),
    (1041, "out of resources"),
    (1044, "access to the database denied"),
    (1045, "access denied"),
    (1046, "no database selected"),
    (1047, "unknown command"),
    (1048, "column cannot be null"),
    (1049, "unknown database"),
    (1050, "table already exists"),
    (1051, "unknown table"),
    (1052, "column is ambiguous"),
    (1053, "server shutdown in progress"),
    (1054, "unknown column"),
    (1055, "column is not in GROUP BY"),
    (1056, "cannot group on this column"),
    (1060, "duplicate column name"),
    (1061, "duplicate key name"),
    (1062, "duplicate entry for a unique key"),
    (1064, "syntax error"),
    (1065, "query was empty"),
    (1066, "table or alias is not unique"),
    (1067, "invalid default value"),
    (1093, "the table to be changed is read in the same statement"),
    (1094, "unknown thread id"),
    (1096, "no tables used"),
    (1104, "the query would examine too many rows"),
    (1105, "unknown error"),
    (1110, "column specified twice"),
    (1111, "invalid use of a group function"),
    (1114, "the table is full"),
    (1136, "column count does not match value count"),
    (1139, "error in a regular expression"),
    (1142, "command denied on the table"),
    (1143, "command denied on the column"),
    (1146, "table does not exist"),
    (1153, "packet larger than max_allowed_packet"),
    (1156, "packets out of order"),
    (1158, "error reading packets"),
    (1159, "timeout reading packets"),
    (1160, "error writing packets"),
    (1161, "timeout writing packets"),
    (1166, "incorrect column name"),
    (1169, "a unique constraint is violated"),
    (1172, "result consisted of more than one row"),
    (1175, "safe update mode: no key in WHERE"),
    (1193, "unknown system variable"),
    (1205, "lock wait timeout exceeded"),
    (1206, "too many locks"),
    (1210, "incorrect arguments"),
    (1213, "deadlock found"),
    (1216, "a foreign key constraint fails"),
    (1217, "a foreign key constraint fails"),
    (1222, "the SELECTs have a different number of columns"),
    (1227, "access denied: a privilege is missing"),
    (1230, "the variable has no default value"),
    (1231, "the variable cannot be set to this value"),
    (1235, "not supported yet"),
    (1242, "subquery returns more than one row"),
    (1243, "unknown prepared statement"),
    (1264, "value out of range for a column"),
    (1265, "data truncated for a column"),
    (1267, "illegal mix of collations"),
    (1290, "the server runs with an option that forbids this"),
    (1292, "incorrect or truncated value"),
    (1301, "result larger than max_allowed_packet"),
    (1305, "routine does not exist"),
    (1317, "query execution was interrupted"),
    (1318, "incorrect number of arguments"),
    (1364, "column has no default value"),
    (1365, "division by zero"),
    (1366, "incorrect value for a column"),
    (1406, "data too long for a column"),
    (1411, "incorrect value for a function"),
    (1451, "cannot delete or update a parent row: a foreign key constraint fails"),
    (1452, "cannot add or update a child row: a foreign key constraint fails"),
    (1690, "value out of range"),
    (1792, "cannot execute this statement in a read-only transaction"),
    (3024, "maximum statement execution time exceeded"),
    (3140, "invalid JSON text"),
    (3819, "a check constraint is violated"),
    (4025, "a check constraint is violated"),
    (4038, "syntax error in JSON text"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_order_and_found() {
        assert!(KINDS.is_sorted_by(|one, next| one.0 < next.0));
        assert_eq!(kind_of(1062), "duplicate entry for a unique key");
        assert_eq!(kind_of(4025), kind_of(3819));
        assert!(kind_of(9).starts_with("error ("));
    }
}
