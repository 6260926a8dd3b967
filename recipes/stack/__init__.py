"""Several small models of one shape, trained at once: every weight has a leading axis of models.

One model of this size leaves a GPU idle between its kernels. Stacked, all seeds and variants of a
study take each step in the same few kernels, on the same data, at the same learning rate.
"""
