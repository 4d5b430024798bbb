//! Does what programs ask for, and tells them what came of it.

use libp2p::kad::{self, QueryResult};
use web_time::Instant;

use super::{programs::ProgramQuery, queries::closest, state::Driver};
use crate::{command::ForPrograms, platform};

impl Driver {
    pub(super) fn on_command_of_program(&mut self, command: ForPrograms, now: Instant) {
        match command {
            ForPrograms::Get { key, reply } => self.get(key, reply, now),
            ForPrograms::Open { to, reply } => self.programs.streams.open(to, reply, now),
            ForPrograms::Provide { key, reply } => {
                self.programs.providing.provide(key, reply, now);
            }
            ForPrograms::Providers { key, reply } => self.search_providers(key, reply),
            ForPrograms::StopProviding { key } => self.stop_providing(key),
            ForPrograms::Put {
                key,
                value,
                lifetime,
                reply,
            } => self.put(key, value, lifetime, reply, now),
        }
    }

    /// Puts, gets and provided keys that are due.
    pub(super) fn advance_programs(&mut self, now: Instant) {
        self.advance_operations(now);
        self.advance_providing(now);
    }

    /// When one of the programs' machines has something to do.
    pub(super) fn programs_timeout(&self) -> Option<Instant> {
        let timeouts = [
            self.programs.operations.poll_timeout(),
            self.providing_timeout(),
            self.programs.streams.poll_timeout(),
        ];
        timeouts.into_iter().flatten().min()
    }

    /// What comes before the end of a query for a program. Returns whether that is enough.
    pub(super) fn on_program_progress(
        &mut self,
        query: ProgramQuery,
        result: &QueryResult,
    ) -> bool {
        match (query, result) {
            (
                ProgramQuery::Providers(search),
                QueryResult::GetProviders(Ok(kad::GetProvidersOk::FoundProviders {
                    providers,
                    ..
                })),
            ) => self.on_providers_found(search, providers.iter().copied()),
            (
                ProgramQuery::Operation(of),
                QueryResult::GetRecord(Ok(kad::GetRecordOk::FoundRecord(found))),
            ) => self
                .programs
                .operations
                .value(of, &found.record.value, platform::wall()),
            _ => false,
        }
    }

    /// A query for a program has ended.
    pub(super) fn on_program_result(
        &mut self,
        query: ProgramQuery,
        result: QueryResult,
        has_asked: bool,
        now: Instant,
    ) {
        match (query, result) {
            (ProgramQuery::Operation(of), QueryResult::GetClosestPeers(found)) => {
                self.on_servers_found(of, closest(found, self.me), now);
            }
            (ProgramQuery::Operation(of), QueryResult::PutRecord(result)) => {
                self.on_handed_over(of, result, now);
            }
            (ProgramQuery::Operation(of), QueryResult::GetRecord(result)) => {
                self.on_looked_up(of, &result, now);
            }
            (ProgramQuery::Provide(key), QueryResult::StartProviding(result)) => {
                self.on_provided(key, result.is_ok() && has_asked, now);
            }
            (ProgramQuery::Providers(search), _) => {
                self.programs.providing.searched(search, has_asked);
            }
            (query, result) => tracing::debug!(?query, ?result, "unexpected end of a query"),
        }
    }
}
