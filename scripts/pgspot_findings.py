"""Runs pgspot over SQL files and prints each finding with its place in sql/; scripts/pgspot calls it."""

import re
import sys
from argparse import Namespace
from copy import copy
from pathlib import Path

from pglast import ast, parse_plpgsql
from pglast.parser import ParseError
from pgspot import visitors
from pgspot.formatters import raw_sql
from pgspot.state import Counter, State

EXCEPTIONS = Path("scripts/pgspot.exceptions")
OPTIONS = Namespace(ignore=[], ignore_lang=[], proc_without_search_path=[], sql_fn=[])


class Visitor(visitors.SQLVisitor):
    def visit_CreateFunctionStmt(self, ancestors, node):
        # pgspot expects a body in quotes. A body in BEGIN ATOMIC or RETURN is part of the statement: PostgreSQL looks up
        # its names when it creates the function, with the search_path of the script. pgspot checks such a body as part of
        # the statement, but then also asks for a quoted body and for a search_path at run time. It asks for neither in
        # language internal, where it still checks SECURITY DEFINER and OR REPLACE.
        if node.sql_body is not None:
            node = copy(node)
            node.options = [option for option in node.options if option.defname != "language"] + [
                ast.DefElem(defname="language", arg=ast.String("internal")),
                ast.DefElem(defname="as", arg=[ast.String("")]),
            ]
        super().visit_CreateFunctionStmt(ancestors, node)


def visit_plpgsql(state, node):
    """Checks every expression, statement and declared type of a body. pgspot's own visitor skips some, such as ELSIF."""

    def visit(part):
        if isinstance(part, list):
            for item in part:
                visit(item)
        elif isinstance(part, dict):
            for name, value in part.items():
                if name == "PLpgSQL_expr":
                    query, mode = value["query"], value["parseMode"]
                    # 0 is a statement, 2 an expression, and a higher mode an assignment
                    if mode > 2:
                        query = re.split(":?=", query, maxsplit=1)[1]
                    visitors.visit_sql(state, "SELECT " + query if mode > 0 else query)
                elif name == "PLpgSQL_type":
                    visitors.visit_sql(state, "SELECT NULL::" + value["typname"])
                # a variable without a line number is a parameter: PostgreSQL looked up its type when it created the function
                elif name != "PLpgSQL_var" or "lineno" in value:
                    visit(value)

    visit(parse_plpgsql(raw_sql(node)))


visitors.SQLVisitor = Visitor
visitors.visit_plpgsql = visit_plpgsql


class Findings(Counter):
    def __init__(self, sql):
        super().__init__(OPTIONS)
        self.found = set()
        # the files that the SQL was made from, with the line where each begins
        self.files = sorted(
            (sql.count("\n", 0, sql.index(text)), path)
            for path in Path("sql").rglob("*.sql")
            if (text := path.read_text()) in sql
        )

    def print_issue(self, code, context):
        # the location is the end of the previous statement: skip blank lines and comments
        begin = re.compile(r"(\s|--.*)*").match(self.sql, self.stmt_location).end()
        line = self.sql.count("\n", 0, begin)
        start, path = [file for file in self.files if file[0] <= line][-1]
        self.found.add((f"{path}:{line - start + 1}", f"{code} {context}".replace("extschema.", "")))

    def unknown(self, message):
        self.print_issue("unknown", message)


found = set()
for file in sys.argv[1:]:
    sql = Path(file).read_text()
    findings = Findings(sql)
    # pglast knows no tables, so a variable of a table's row type is declared as record
    sql = re.sub(r"^( +[a-z_]+ +)@extschema@\.[a-z_]+;$", r"\1record;", sql, flags=re.MULTILINE)
    try:
        visitors.visit_sql(State(findings), sql, toplevel=True)
    except ParseError as error:
        # before the first statement, the error itself has the location
        findings.stmt_location = findings.stmt_location or error.args[1]
        findings.print_issue("cannot be read:", error)
    found |= findings.found

excepted = {line.split(": ")[0] for line in EXCEPTIONS.read_text().splitlines() if not line.startswith("#")}
faults = [f"{place}: {finding}" for place, finding in sorted(found) if finding not in excepted]
faults += [f"{EXCEPTIONS}: no such finding: {finding}" for finding in sorted(excepted - {finding for _, finding in found})]
if faults:
    print(*faults, "Run target/pgspot/bin/pgspot --explain CODE for an explanation.", sep="\n", file=sys.stderr)
    sys.exit(1)
