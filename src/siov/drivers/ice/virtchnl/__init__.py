"""virtchnl, the PF's side: what a VF's driver asks through its mailbox, carried out on the VF's VSI.

`vf.VirtchnlVf` looks at a message and finds its function in `table`; the other modules have these functions,
by topic. They see a well-formed and allowed request and give back what to reply. `vsi_ops` says what they
need of the rest of the driver, and `fair` takes the VFs' messages in turns.
"""

from siov.drivers.ice.virtchnl.fair import VfLine, VfMessages
from siov.drivers.ice.virtchnl.vsi_ops import VfLimits, VfOwner, VsiOps

__all__ = ["VfLimits", "VfLine", "VfMessages", "VfOwner", "VsiOps"]
