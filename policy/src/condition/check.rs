//! Types of a condition's parts, from the leaves up: unknown names, fields and functions and operands that do not fit
//! are found before the condition is ever evaluated, in branches that a trial would skip, too.

use std::{collections::BTreeSet, sync::Arc};

use cel::{
    IdedExpr, Program,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, SelectExpr, SourceInfo},
};

use super::{
    DEEPEST, Fault,
    operator::{self, Call},
    types::{Type, Variables},
};

/// Checks a whole condition; the keys of maps that it needs.
pub(super) fn check(program: &Program, variables: &Variables) -> Result<Vec<Arc<str>>, Fault> {
    let mut checker = Checker {
        variables,
        source: program.source_info(),
        local: Vec::new(),
        depth: 0,
        needed: BTreeSet::new(),
        tested: BTreeSet::new(),
    };
    let expression = program.expression();
    match checker.type_of(expression)? {
        Type::Bool => {}
        other => {
            let what = format!("a condition must be true or false, this is {other}");
            return Err(checker.fault(expression, what, "compare it: `… == …`"));
        }
    }
    let Checker { needed, tested, .. } = checker;
    Ok(needed.difference(&tested).cloned().collect())
}

struct Checker<'a> {
    variables: &'a Variables,
    source: &'a SourceInfo,
    /// Variables of `exists`, `all`, `map` and `filter`, the innermost last.
    local: Vec<(&'a str, Type)>,
    /// Levels above the part that is looked at.
    depth: usize,
    /// Keys of maps that are read.
    needed: BTreeSet<Arc<str>>,
    /// Keys of maps that are asked for by `has` or `in`.
    tested: BTreeSet<Arc<str>>,
}

impl<'a> Checker<'a> {
    fn type_of(&mut self, expression: &'a IdedExpr) -> Result<Type, Fault> {
        if self.depth >= DEEPEST {
            return Err(self.fault(
                expression,
                "the condition nests too deep",
                "split the rule, or use a list and `in`",
            ));
        }
        self.depth += 1;
        let found = self.type_at(expression);
        self.depth -= 1;
        found
    }

    fn type_at(&mut self, expression: &'a IdedExpr) -> Result<Type, Fault> {
        match &expression.expr {
            Expr::Literal(literal) => Ok(literal_type(literal)),
            Expr::Ident(name) => self.variable(expression, name),
            Expr::Select(select) => self.select(expression, select),
            Expr::Call(call) => self.call(expression, call),
            Expr::Comprehension(macro_call) => self.comprehension(expression, macro_call),
            Expr::List(list) => self.list(expression, list),
            Expr::Map(map) => {
                let mut of = Type::Nothing;
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else { return Err(self.foreign(expression)) };
                    if self.type_of(&entry.key)? != Type::Text {
                        return Err(self.fault(&entry.key, "the keys of a map must be texts", "write \"key\": value"));
                    }
                    of = self.joined(&entry.value, of)?;
                }
                Ok(Type::map(of))
            }
            Expr::Struct(_) | Expr::Unspecified => Err(self.foreign(expression)),
        }
    }

    fn variable(&self, expression: &IdedExpr, name: &str) -> Result<Type, Fault> {
        let local = self.local.iter().rev().find(|(known, _)| *known == name).map(|(_, of)| of);
        local.or_else(|| self.variables.get(name)).cloned().ok_or_else(|| {
            let known: Vec<_> = self.variables.names().collect();
            self.fault(expression, format!("unknown name `{name}`"), format!("known here: {}", known.join(", ")))
        })
    }

    fn select(&mut self, expression: &'a IdedExpr, select: &'a SelectExpr) -> Result<Type, Fault> {
        let field = select.field.as_str();
        let found = match self.type_of(&select.operand)? {
            Type::Record(fields) => match fields.iter().find(|(name, _)| *name == field) {
                Some((_, of)) => of.clone(),
                None => {
                    let known: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
                    let mend = format!("known here: {}", known.join(", "));
                    return Err(self.fault(expression, format!("unknown field `{field}`"), mend));
                }
            },
            Type::Map(of) => {
                let keys = if select.test { &mut self.tested } else { &mut self.needed };
                keys.insert(Arc::from(field));
                Type::clone(&of)
            }
            other => {
                let what = format!("{other} has no field `{field}`");
                return Err(self.fault(expression, what, "compare the value itself"));
            }
        };
        Ok(if select.test { Type::Bool } else { found })
    }

    fn call(&mut self, expression: &'a IdedExpr, call: &'a CallExpr) -> Result<Type, Fault> {
        let target = call.target.as_deref().map(|target| self.type_of(target)).transpose()?;
        let arguments: Vec<Type> = call.args.iter().map(|argument| self.type_of(argument)).collect::<Result<_, _>>()?;
        match (call.func_name.as_str(), call.args.as_slice()) {
            (cel::common::ast::operators::INDEX, [_, key]) => self.needs_key(key),
            (cel::common::ast::operators::IN, [key, _]) => {
                if let Some(key) = text_of(key) {
                    self.tested.insert(key.into());
                }
            }
            _ => {}
        }
        let typed = Call { name: &call.func_name, target: target.as_ref(), arguments: &arguments };
        let found =
            operator::result(&typed).map_err(|mistake| self.fault(expression, mistake.message, mistake.mend))?;
        operator::try_constants(call).map_err(|(message, mend)| self.fault(expression, message, mend))?;
        Ok(found)
    }

    fn needs_key(&mut self, key: &IdedExpr) {
        if let Some(key) = text_of(key) {
            self.needed.insert(key.into());
        }
    }

    /// What `exists`, `all`, `exists_one`, `map` and `filter` expand to: a loop over a list or over a map's keys.
    fn comprehension(&mut self, expression: &'a IdedExpr, macro_call: &'a ComprehensionExpr) -> Result<Type, Fault> {
        let item = match self.type_of(&macro_call.iter_range)? {
            Type::List(of) => Type::clone(&of),
            Type::Map(_) => Type::Text,
            other => {
                let what = format!("{other} is nothing to go through");
                return Err(self.fault(&macro_call.iter_range, what, "name a list, such as `request.groups`"));
            }
        };
        let depth = self.local.len();
        let start = self.type_of(&macro_call.accu_init)?;
        self.local.push((&macro_call.accu_var, start.clone()));
        self.local.push((&macro_call.iter_var, item));
        let goes_on = self.type_of(&macro_call.loop_cond)?;
        let step = self.type_of(&macro_call.loop_step)?;
        self.local.truncate(depth);
        let (Type::Bool, Some(collected)) = (goes_on, start.join(&step)) else {
            return Err(self.fault(expression, "the parts of this do not fit", "write `list.exists(x, x == …)`"));
        };
        self.local.push((&macro_call.accu_var, collected));
        let found = self.type_of(&macro_call.result);
        self.local.truncate(depth);
        found
    }

    fn list(&mut self, expression: &'a IdedExpr, list: &'a ListExpr) -> Result<Type, Fault> {
        if !list.optional_indices.is_empty() {
            return Err(self.foreign(expression));
        }
        let mut of = Type::Nothing;
        for element in &list.elements {
            of = self.joined(element, of)?;
        }
        Ok(Type::list(of))
    }

    fn joined(&mut self, element: &'a IdedExpr, so_far: Type) -> Result<Type, Fault> {
        let of = self.type_of(element)?;
        so_far
            .join(&of)
            .ok_or_else(|| self.fault(element, format!("{so_far} and {of} in one list or map"), "keep to one type"))
    }

    fn foreign(&self, expression: &IdedExpr) -> Fault {
        self.fault(expression, "this part of CEL has no use here", "compare fields with texts, numbers and lists")
    }

    fn fault(&self, expression: &IdedExpr, message: impl Into<String>, mend: impl Into<String>) -> Fault {
        // Offsets count characters.
        let start = self.source.offset_for(expression.id).map_or(0, |(start, _)| start as usize);
        let at = self.source.source.char_indices().nth(start).map_or(0, |(at, _)| at);
        Fault::new(at, message, mend)
    }
}

fn literal_type(literal: &LiteralValue) -> Type {
    match literal {
        LiteralValue::Boolean(_) => Type::Bool,
        LiteralValue::Bytes(_) => Type::Bytes,
        LiteralValue::Double(_) => Type::Double,
        LiteralValue::Int(_) => Type::Int,
        LiteralValue::Null => Type::Null,
        LiteralValue::String(_) => Type::Text,
        LiteralValue::UInt(_) => Type::Uint,
    }
}

fn text_of(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
