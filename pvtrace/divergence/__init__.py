"""What native hardware would have done: the rules, and the one who judges a run by them.

Reading order: catalogue (which rules there are), shadow (what the guest's state would be natively), native_view (the
machine as it would look natively), scenes (what a rule is shown), judge (who shows it), then rules/.
"""
