//! A page is not told which networks its machine is in.

use moim_protocol::dials::Network;

#[derive(Debug, Default)]
pub(crate) struct Networks([Network; 0]);

impl Networks {
    #[expect(clippy::needless_pass_by_ref_mut, reason = "elsewhere it remembers")]
    pub(crate) fn current(&mut self) -> &[Network] {
        &self.0
    }
}
